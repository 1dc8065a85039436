"""What REST and the console may ask of the cloud; every call names its `Actor`."""
