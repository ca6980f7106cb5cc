"""`--to torchvision`: tables of arguments and names, and the classes that are copied into an export."""
