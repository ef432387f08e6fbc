"""Runs the functions of LocalStack 4.14 as processes of this machine: LAMBDA_RUNTIME_EXECUTOR=process.

LocalStack itself runs them in containers. Here each execution environment is one process of the function's `bootstrap`,
which speaks to a Runtime API of its own on 127.0.0.1. As on AWS the environment is the function's own and nothing else,
and a process that is still busy at the function's timeout is killed.
"""

import os
import queue
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from localstack import config
from localstack.services.lambda_.invocation.lambda_models import InvocationResult
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

PREFIX = "/2018-06-01/runtime/"


class ProcessExecutorPlugin(RuntimeExecutorPlugin):
    name = "process"

    def load(self, *args, **kwargs):
        return ProcessExecutor


class ProcessExecutor(RuntimeExecutor):
    def __init__(self, id, function_version):
        super().__init__(id, function_version)
        self.timeout = float(function_version.config.timeout)
        self.asked = threading.Event()
        self.events = queue.Queue()
        self.answers = queue.Queue()
        self.process = self.server = self.log = None

    def start(self, env_vars):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        code = self.function_version.config.code.get_unzipped_code_location()
        bootstrap = os.path.join(code, "bootstrap")
        os.chmod(bootstrap, 0o755)
        environment = {name: str(value) for name, value in env_vars.items()}
        environment["AWS_LAMBDA_RUNTIME_API"] = "127.0.0.1:%d" % self.server.server_port
        environment["LAMBDA_TASK_ROOT"] = str(code)
        name = "%s-%s.log" % (self.function_version.id.function_name, self.id)
        self.log = open(os.path.join(config.dirs.tmp, name), "w+b")
        self.process = subprocess.Popen(
            [bootstrap], env=environment, cwd=code, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )
        # The first question says that it is ready.
        while not self.asked.wait(0.05):
            if self.process.poll() is not None:
                raise RuntimeError("the function ended before it asked for an event: " + self.get_logs())

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        if self.server:
            self.server.shutdown()
            self.server.server_close()
        if self.log:
            self.log.close()

    def get_address(self):
        return "127.0.0.1"

    def get_endpoint_from_executor(self):
        return "127.0.0.1"

    def get_runtime_endpoint(self):
        return "http://127.0.0.1/unused"

    def invoke(self, payload):
        identity = payload["invoke-id"]
        deadline = time.time() + self.timeout
        self.events.put((identity, payload, deadline))
        while True:
            try:
                is_error, body = self.answers.get(timeout=0.1)
                return InvocationResult(identity, body, is_error, self.get_logs())
            except queue.Empty:
                ended = self.process.poll() is not None
                if ended or time.time() > deadline:
                    self.process.kill()
                    kind = b"Runtime.ExitError" if ended else b"Sandbox.Timedout"
                    body = b'{"errorType": "%s", "errorMessage": "RequestId: %s"}' % (kind, identity.encode())
                    return InvocationResult(identity, body, True, self.get_logs())

    def get_logs(self):
        if not self.log or self.log.closed:
            return ""
        with open(self.log.name, "rb") as log:
            return log.read().decode("utf-8", "replace")

    @classmethod
    def prepare_version(cls, function_version):
        if function_version.config.code:
            function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version):
        pass


def handler_of(executor):
    class RuntimeApi(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if self.path != PREFIX + "invocation/next":
                return self.answer(404)
            executor.asked.set()
            identity, payload, deadline = executor.events.get()
            body = payload["payload"]
            headers = {
                "Lambda-Runtime-Aws-Request-Id": identity,
                "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": payload["invoked-function-arn"],
                "Lambda-Runtime-Trace-Id": payload.get("trace-id") or "",
                "Content-Type": "application/json",
            }
            self.answer(200, body if isinstance(body, bytes) else body.encode(), headers)

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = self.chunked()
            ending = self.path.rsplit("/", 1)[-1]
            if self.path.startswith(PREFIX + "invocation/") and ending in ("response", "error"):
                executor.answers.put((ending == "error", body))
            self.answer(202)

        def chunked(self):
            body = b""
            while length := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def answer(self, status, body=b"", headers=None):
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return RuntimeApi
