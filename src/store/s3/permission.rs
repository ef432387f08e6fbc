//! What the operations of S3 need to be allowed.

/// Whether an operation stores something: only then does a setting about what is stored matter.
pub(super) fn writes(action: &str) -> bool {
    permission(action).starts_with("s3:PutObject")
}

/// What must be allowed for an operation.
pub(super) fn permission(action: &str) -> &'static str {
    match action {
        "ListObjectsV2" => "s3:ListBucket",
        "PutObject" | "CreateMultipartUpload" => "s3:PutObject (and s3:PutObjectTagging, where it sends tags)",
        "UploadPart" | "CompleteMultipartUpload" => "s3:PutObject",
        "UploadPartCopy" => "s3:PutObject (and s3:GetObject on what is copied)",
        "AbortMultipartUpload" => "s3:AbortMultipartUpload",
        "DeleteObject" => "s3:DeleteObject",
        _ => "s3:GetObject",
    }
}
