package blobstoretest

import (
	"fmt"
	"net/http"
	"net/url"
	"os"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// Bucket is the one bucket of S3, and of every server that tests are given.
const Bucket = "images"

// S3 is an S3 service that keeps everything in memory and believes every
// signature. It knows conditional writes, but not where parts are put together.
func S3() (http.Handler, error) {
	backend := s3mem.New()
	if err := backend.CreateBucket(Bucket); err != nil {
		return nil, fmt.Errorf("blobstoretest: %w", err)
	}
	return gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server(), nil
}

// S3URL is the URL of a place in the bucket of an S3 service at endpoint.
func S3URL(endpoint, prefix string) string {
	return fmt.Sprintf("s3://%s/%s?region=us-east-1&path_style=true&endpoint=%s", Bucket, prefix, url.QueryEscape(endpoint))
}

// S3Secret is the secret key that SetS3Credentials sets: nothing may show it.
const S3Secret = "hunter2-secret-key-of-the-tests"

// SetS3Credentials sets credentials of the process, unless it has some: those of a
// real server. TestMain calls it.
func SetS3Credentials() error {
	if os.Getenv("AWS_ACCESS_KEY_ID") != "" {
		return nil
	}
	if err := os.Setenv("AWS_ACCESS_KEY_ID", "tests"); err != nil {
		return err
	}
	return os.Setenv("AWS_SECRET_ACCESS_KEY", S3Secret)
}
