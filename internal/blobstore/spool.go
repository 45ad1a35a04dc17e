package blobstore

// Spool is a local file that takes content on its way into a bucket.
type Spool struct{}
