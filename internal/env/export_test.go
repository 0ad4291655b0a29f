package env

const MaxBytes = maxBytes
