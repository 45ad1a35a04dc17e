package blobstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"go.uber.org/goleak"
)

// roleVariable makes this test binary play another part when it is executed again.
const roleVariable = "BLOBSTORE_TEST_ROLE"

func TestMain(m *testing.M) {
	role, ok := map[string]func() error{"": nil, "holder": holdSpool, "filler": fillDisk}[os.Getenv(roleVariable)]
	switch {
	case !ok:
		panic("unknown role")
	case role == nil:
		goleak.VerifyTestMain(m)
	default:
		if err := role(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
}

// holdSpool is a process that has a spool in the bucket of its first argument
// until its standard input ends.
func holdSpool() error {
	bucket, err := blobstore.Open(context.Background(), os.Args[1])
	if err != nil {
		return err
	}
	spool, err := bucket.Spool(context.Background())
	if err != nil {
		return err
	}
	if _, err := io.WriteString(spool, "half an ima"); err != nil {
		return err
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, bucket.Close())
}
