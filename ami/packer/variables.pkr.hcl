variable "region" {
  type        = string
  description = "Where the image is built. It is copied nowhere: each region builds its own, with its own key."
}

variable "kubernetes_version" {
  type        = string
  description = "Of the base image, such as 1.34. The kubelet comes with it."
}

variable "kms_key_id" {
  type        = string
  description = "ARN of the key that the root volume and its snapshot are encrypted with. Nodes' launch templates and their service-linked role need it, too."
}

variable "subnet_id" {
  type        = string
  description = "A private subnet with a way to the repositories of Amazon Linux (S3 gateway endpoint) and to Systems Manager."
}

variable "instance_profile" {
  type        = string
  description = "Of the builder. It needs AmazonSSMManagedInstanceCore alone: sessions go through Systems Manager, and no port is opened."
}

variable "packages" {
  type        = string
  description = "Directory with safeguard-agent-*.rpm and safeguard-proxy-*.rpm, as packaging/ builds them."
}

variable "settings" {
  type        = string
  default     = ""
  description = "Directory with agent.toml, proxy.toml and exceptions.yaml of your own. Empty: those of the image."
}

variable "reports" {
  type        = string
  default     = "reports"
  description = "Directory on this machine for report.json, report.html and manifest.json. Has to exist."
}

variable "node_group" {
  type        = string
  default     = ""
  description = "Node group that exceptions with a scope are for."
}

variable "base_owner" {
  type        = string
  default     = "amazon"
  description = "Owner of the base image. An account number in partitions where the alias is not known."
}

variable "instance_type" {
  type    = string
  default = "m6i.large"
}

variable "volume_size" {
  type        = number
  default     = 80
  description = "GiB. Images and writable layers are on it: below 40 the kubelet evicts."
}
