package blobstore_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/blobstore/blobstoretest"
)

const s3Variable = "BLOBSTORE_TEST_S3_URL"

// The suites are not parallel: they count what the process allocates.

func TestS3Bucket(t *testing.T) {
	endpoint := startS3(t)
	blobstoretest.Run(t, func(t *testing.T) blobstore.Bucket {
		t.Helper()
		return openRemote(t, blobstoretest.S3URL(endpoint, strings.ToLower(t.Name())))
	})
}

func TestS3BucketOfARealServer(t *testing.T) {
	blobstoretest.Outside(t, s3Variable)
	blobstoretest.Run(t, func(t *testing.T) blobstore.Bucket {
		t.Helper()
		return openRemote(t, blobstoretest.Outside(t, s3Variable))
	})
}

// Everything that is not empty goes up in parts, also what would not have to.
func TestS3BucketInParts(t *testing.T) {
	blobstoretest.Outside(t, s3Variable)
	blobstoretest.Run(t, func(t *testing.T) blobstore.Bucket {
		t.Helper()
		return openRemote(t, blobstoretest.Outside(t, s3Variable), blobstore.WithPartBytes(0, 5<<20))
	})
}

// startS3 runs an S3 service in a process of its own, until the test ends, and says where.
func startS3(t *testing.T) (endpoint string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), roleVariable+"=s3")
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = input.Close()
		_ = command.Wait() // killed by the context, if it was quicker
	})
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "http://") {
		t.Fatalf("output of the process = %q, %v", line, err)
	}
	return strings.TrimSpace(line)
}

// openRemote opens a bucket of an object store until the test ends.
func openRemote(t *testing.T, address string, options ...blobstore.Option) blobstore.Bucket {
	t.Helper()
	options = append([]blobstore.Option{blobstore.WithSpoolFolder(t.TempDir())}, options...)
	bucket, err := blobstore.Open(t.Context(), address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bucket.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return bucket
}
