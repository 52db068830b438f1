# In a file of its own: packer before 1.7 does not know the block, and offline checks are made with what a distribution has.
packer {
  required_version = ">= 1.9.0"

  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3.0, < 2.0.0"
    }
  }
}
