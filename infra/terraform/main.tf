# The stack of a release, by Terraform: the very template that `aws cloudformation deploy` takes, and nothing beside it.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "stack_name" {
  type        = string
  description = "Name of the stack, which begins the names of all that it makes."
  default     = "mongotar"
}

variable "tags" {
  type        = map(string)
  description = "Tags of the stack and of all that it makes, beside Project."
  default     = {}
}

data "aws_region" "here" {}
data "aws_partition" "here" {}

resource "aws_cloudformation_stack" "mongotar" {
  name         = var.stack_name
  template_url = "https://${var.code_bucket}.s3.${data.aws_region.here.name}.${data.aws_partition.here.dns_suffix}/${var.code_prefix}template.yaml"
  parameters   = local.parameters
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
  tags         = var.tags
  # Buckets and keys outlive the stack all the same.
  on_failure = "ROLLBACK"
}

output "outputs" {
  description = "What the stack says of itself: Destination, BackupMachineArn, RestoreMachineArn, …"
  value       = aws_cloudformation_stack.mongotar.outputs
}
