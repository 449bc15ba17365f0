"""The readable document of a licence: a template and a credential become PDF and OFD."""
