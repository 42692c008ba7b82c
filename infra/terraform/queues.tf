# The three queues and their key; see infra/cloudformation/queues.yaml for what goes where.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.region
  ending    = var.fifo ? ".fifo" : ""
  bus       = var.event_bus_name == "default" ? "" : "${var.event_bus_name}/"
  rule_arn  = "arn:${local.partition}:events:${local.region}:${local.account}:rule/${local.bus}${var.rule_name}"
}

data "aws_iam_policy_document" "key" {
  statement {
    sid       = "Administration"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account}:root"]
    }
  }

  # Without this statement PutEvents and PutTargets succeed and nothing arrives.
  statement {
    sid       = "EventBridge"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
  }
}

resource "aws_kms_key" "queues" {
  description         = "Events in ${var.queue_name} and its dead-letter queues"
  enable_key_rotation = true
  policy              = data.aws_iam_policy_document.key.json
}

resource "aws_sqs_queue" "events" {
  name                              = "${var.queue_name}${local.ending}"
  fifo_queue                        = var.fifo
  content_based_deduplication       = var.fifo ? true : null
  deduplication_scope               = var.fifo ? "messageGroup" : null
  fifo_throughput_limit             = var.fifo ? "perMessageGroupId" : null
  kms_master_key_id                 = aws_kms_key.queues.arn
  kms_data_key_reuse_period_seconds = 300
  receive_wait_time_seconds         = 20
  visibility_timeout_seconds        = var.visibility_timeout
  message_retention_seconds         = 345600

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = var.max_receive_count
  })
}

resource "aws_sqs_queue" "dead_letters" {
  name                              = "${var.dead_letter_queue_name}${local.ending}"
  fifo_queue                        = var.fifo
  content_based_deduplication       = var.fifo ? true : null
  kms_master_key_id                 = aws_kms_key.queues.arn
  kms_data_key_reuse_period_seconds = 300
  visibility_timeout_seconds        = 120
  message_retention_seconds         = 1209600
}

# EventBridge takes standard queues alone as dead-letter queues, whatever the target is.
resource "aws_sqs_queue" "undelivered" {
  name                              = var.undelivered_queue_name
  kms_master_key_id                 = aws_kms_key.queues.arn
  kms_data_key_reuse_period_seconds = 300
  visibility_timeout_seconds        = 120
  message_retention_seconds         = 1209600
}

data "aws_iam_policy_document" "from_rule" {
  for_each = {
    events      = aws_sqs_queue.events.arn
    undelivered = aws_sqs_queue.undelivered.arn
  }

  statement {
    sid       = "EventBridge"
    actions   = ["sqs:SendMessage"]
    resources = [each.value]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.rule_arn]
    }
  }

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [each.value]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "events" {
  queue_url = aws_sqs_queue.events.url
  policy    = data.aws_iam_policy_document.from_rule["events"].json
}

resource "aws_sqs_queue_policy" "undelivered" {
  queue_url = aws_sqs_queue.undelivered.url
  policy    = data.aws_iam_policy_document.from_rule["undelivered"].json
}

data "aws_iam_policy_document" "dead_letters" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.dead_letters.arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.url
  policy    = data.aws_iam_policy_document.dead_letters.json
}
