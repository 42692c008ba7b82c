# The roles, whose policies `eventcast infra render` makes from the configuration.

data "aws_iam_policy_document" "tasks" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "operators" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = length(var.operator_arns) > 0 ? var.operator_arns : ["arn:${local.partition}:iam::${local.account}:root"]
    }
  }
}

data "aws_iam_policy_document" "key_use" {
  for_each = {
    send = ["kms:Decrypt", "kms:GenerateDataKey"]
    read = ["kms:Decrypt"]
  }

  statement {
    actions   = each.value
    resources = [aws_kms_key.queues.arn]
  }
}

locals {
  roles = {
    for name, role in {
      bridge     = { policy = var.bridge_policy, trust = data.aws_iam_policy_document.tasks.json, key = "send" }
      doctor     = { policy = var.doctor_policy, trust = data.aws_iam_policy_document.operators.json, key = "read" }
      "dlq"      = { policy = var.dlq_policy, trust = data.aws_iam_policy_document.operators.json, key = "send" }
      "dlq-read" = { policy = var.dlq_read_policy, trust = data.aws_iam_policy_document.operators.json, key = "read" }
    } : name => role if role.policy != null
  }
}

resource "aws_iam_role" "roles" {
  for_each = local.roles

  name               = "${var.name}-${each.key}"
  assume_role_policy = each.value.trust
}

resource "aws_iam_policy" "roles" {
  for_each = local.roles

  name   = "${var.name}-${each.key}"
  policy = each.value.policy
}

resource "aws_iam_role_policy_attachment" "roles" {
  for_each = local.roles

  role       = aws_iam_role.roles[each.key].name
  policy_arn = aws_iam_policy.roles[each.key].arn
}

resource "aws_iam_role_policy" "key" {
  for_each = local.roles

  name   = "key"
  role   = aws_iam_role.roles[each.key].name
  policy = data.aws_iam_policy_document.key_use[each.value.key].json
}

# The tasks are no resource of the action; its condition key is the cluster.
data "aws_iam_policy_document" "tasks_list" {
  statement {
    actions   = ["ecs:ListTasks"]
    resources = ["*"]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [aws_ecs_cluster.eventcast.arn]
    }
  }
}

resource "aws_iam_role_policy" "tasks" {
  count = var.count_tasks ? 1 : 0

  name   = "tasks"
  role   = aws_iam_role.roles["bridge"].name
  policy = data.aws_iam_policy_document.tasks_list.json
}
