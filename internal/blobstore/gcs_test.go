package blobstore_test

import (
	"testing"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/blobstore/blobstoretest"
)

const gcsVariable = "BLOBSTORE_TEST_GS_URL"

func TestGCSBucket(t *testing.T) {
	blobstoretest.Outside(t, gcsVariable)
	blobstoretest.Run(t, func(t *testing.T) blobstore.Bucket {
		t.Helper()
		return openRemote(t, blobstoretest.Outside(t, gcsVariable))
	})
}
