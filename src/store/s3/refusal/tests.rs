//! What is said of refusals.

use super::*;

#[test]
fn the_likely_cause_is_said_with_what_the_store_said() {
    let of = |status, code, message| Refusal {
        status,
        code: Some(code),
        message: Some(message),
        request: Some("4442587FB7D0A2F9"),
        region: None,
        is_page: false,
    };
    for (refusal, part) in [
        (of(403, "RequestTimeTooSkewed", "The difference is too large."), "clock"),
        (
            of(400, "ExpiredToken", "The provided token has expired."),
            "AWS_SESSION_TOKEN",
        ),
        (of(403, "InvalidAccessKeyId", "It does not exist."), "AWS_ACCESS_KEY_ID"),
        (
            of(403, "SignatureDoesNotMatch", "Check your key."),
            "AWS_SECRET_ACCESS_KEY does not belong",
        ),
        (
            of(
                400,
                "AuthorizationHeaderMalformed",
                "the region 'us-east-1' is wrong; expecting 'eu-west-1'",
            ),
            "AWS_REGION=eu-west-1",
        ),
        (
            of(
                403,
                "AccessDenied",
                "not authorized to perform: kms:GenerateDataKey on this resource",
            ),
            "kms:GenerateDataKey and",
        ),
        (
            of(400, "KMS.DisabledException", "it is disabled"),
            "check that it is enabled",
        ),
        (
            of(403, "AccessDenied", "with an explicit deny in a resource-based policy"),
            "MONGOTAR_S3_ENCRYPTION",
        ),
        (
            of(403, "AccessDenied", "Access Denied"),
            "PutObject needs the permission s3:PutObject (",
        ),
        (of(501, "NotImplemented", "A header"), "MONGOTAR_S3_CONDITIONAL_WRITES"),
    ] {
        let told = refusal.told("PutObject");
        assert!(told.contains(part), "{told}");
        let code = refusal.code.unwrap_or_default();
        assert!(told.starts_with(&format!("{} {code}: ", refusal.status)), "{told}");
        assert!(told.contains("(request 4442587FB7D0A2F9)"), "{told}");
        assert_eq!(refusal.is_denial(), refusal.status != 501, "{told}");
    }
    for (refusal, part) in [
        (
            of(400, "InvalidRequest", "Checksum algorithm provided is unsupported."),
            "MONGOTAR_S3_CHECKSUMS=none",
        ),
        (
            of(
                400,
                "InvalidArgument",
                "Unsupported header 'x-amz-sdk-checksum-algorithm'",
            ),
            "MONGOTAR_S3_CHECKSUMS=none",
        ),
        (
            of(
                400,
                "InvalidEncryptionAlgorithmError",
                "The encryption method is not supported",
            ),
            "MONGOTAR_S3_ENCRYPTION",
        ),
        // It was advised to set it to `none`, where it was that already.
        (
            of(
                400,
                "InvalidRequest",
                "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters",
            ),
            "leave MONGOTAR_S3_CHECKSUMS unset",
        ),
    ] {
        let told = refusal.told("PutObject");
        assert_eq!(part.ends_with("=none"), told.contains("=none"), "{told}");
        assert!(told.contains(part) && !refusal.is_denial(), "{told}");
    }
    let elsewhere = Refusal {
        status: 301,
        region: Some("ap-south-1"),
        ..Refusal::default()
    };
    let told = elsewhere.told("GetObject");
    assert_eq!(
        told,
        "status 301, without a reason. The bucket is in the region ap-south-1: set AWS_REGION=ap-south-1"
    );
    let busy = of(503, "SlowDown", "Reduce your request rate.");
    assert!(!busy.is_denial());
    assert_eq!(
        busy.told("x"),
        "503 SlowDown: Reduce your request rate (request 4442587FB7D0A2F9). The store asks for fewer requests: try again later, or run fewer backups and restores at once"
    );
    // They had no cause, and what is full was a matter of access.
    for (status, code, part, is_denial) in [
        (502, None, "a proxy before it, is down or overloaded", false),
        (503, None, "try again later", false),
        (500, Some("InternalError"), "The store failed: try again later", false),
        (429, None, "fewer requests", false),
        (403, Some("QuotaExceeded"), "raise the quota", false),
        (400, Some("XMinioStorageFull"), "free space", false),
        (403, Some("AccountProblem"), "not paid for", true),
        (403, Some("Peculiar"), "look up what Peculiar means", true),
        (403, None, "needs the permission s3:PutObject", true),
    ] {
        let refusal = Refusal {
            status,
            code,
            ..Refusal::default()
        };
        let told = refusal.told("PutObject");
        assert!(told.contains(part), "{told}");
        assert_eq!(refusal.is_denial(), is_denial, "{told}");
    }
}

/// Any refusal of a read advised to set what is only about writes, a HEAD was said to be `s3:GetObject
/// (HeadObject)`, and KMS that was busy, or an encryption whose name has `kms` in it, was a key without rights.
#[test]
fn advice_is_for_what_was_tried_and_names_kms_only_where_the_store_does() {
    let of = |status, code, message| Refusal {
        status,
        code: Some(code),
        message: Some(message),
        ..Refusal::default()
    };
    let no_body = Refusal {
        status: 403,
        ..Refusal::default()
    };
    let denied = of(403, "AccessDenied", "Access Denied");
    let by_policy = of(403, "AccessDenied", "with an explicit deny in a resource-based policy");
    let lacking = of(501, "NotImplemented", "A header");
    let encryption = of(400, "InvalidArgument", "Encryption aws:kms:dsse is not supported");
    let no_kms = of(
        501,
        "NotImplemented",
        "Server side encryption specified but KMS is not configured",
    );
    let reads = ["HeadObject", "GetObject", "ListObjectsV2"];
    for action in reads.into_iter().chain(["AbortMultipartUpload", "DeleteObject"]) {
        for refusal in [
            no_body,
            denied,
            by_policy,
            lacking,
            encryption,
            of(500, "InternalError", "Oops"),
        ] {
            let told = refusal.told(action);
            for absent in ["MONGOTAR_S3_ENCRYPTION", "CONDITIONAL", "KMS", "kms:D"] {
                assert!(!told.contains(absent), "{action}: {told}");
            }
        }
        let told = of(403, "AccessDenied", "not authorized to perform: kms:Decrypt on it").told(action);
        assert!(told.contains("the role kms:Decrypt on it"), "{told}");
    }
    for (refusal, action, end) in [
        (
            no_body,
            "HeadObject",
            "403, without a reason. HeadObject needs the permission s3:GetObject: allow it in the role and in the bucket's policy",
        ),
        (
            denied,
            "ListObjectsV2",
            "needs the permission s3:ListBucket: allow it in the role and in the bucket's policy",
        ),
        (
            denied,
            "UploadPart",
            "needs the permission s3:PutObject: allow it in the role and in the bucket's policy. If the policy demands encryption, set MONGOTAR_S3_ENCRYPTION",
        ),
        (
            encryption,
            "PutObject",
            "does not have that encryption: see MONGOTAR_S3_ENCRYPTION",
        ),
        (
            no_kms,
            "PutObject",
            "does not have that encryption: see MONGOTAR_S3_ENCRYPTION",
        ),
        (
            of(
                400,
                "InvalidRequest",
                "The object was stored using a form of Server Side Encryption",
            ),
            "HeadObject",
            "(SSE-C), which mongotar does not do: copy it without",
        ),
    ] {
        let told = refusal.told(action);
        assert!(told.ends_with(end), "{told}");
    }
    for busy in [
        of(503, "KMS.InternalException", "again"),
        of(400, "KMS.ThrottlingException", "slow down"),
    ] {
        assert!(!busy.is_denial(), "it may pass: {busy:?}");
        assert!(!busy.told("PutObject").contains("cannot be used"));
    }
}

#[test]
fn what_no_s3_answers_asks_for_the_address() {
    for (status, message, is_page, part) in [
        (
            404,
            None,
            true,
            "status 404, without a reason. No S3 answers with a page: is",
        ),
        (302, None, false, "It leads elsewhere, as no S3 does: is"),
        (503, None, true, "is down or overloaded"),
        (
            400,
            Some("invalid_token: expired"),
            false,
            "status 400: invalid_token: expired",
        ),
    ] {
        let refusal = Refusal {
            status,
            message,
            is_page,
            ..Refusal::default()
        };
        let told = refusal.told("HeadObject");
        assert!(told.contains(part), "{told}");
    }
}
