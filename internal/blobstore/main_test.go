package blobstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/blobstore/blobstoretest"
	"go.uber.org/goleak"
)

// roleVariable makes this test binary play another part when it is executed again.
const roleVariable = "BLOBSTORE_TEST_ROLE"

func TestMain(m *testing.M) {
	roles := map[string]func() error{"": nil, "holder": holdSpool, "filler": fillDisk, "s3": serveS3}
	role, ok := roles[os.Getenv(roleVariable)]
	switch {
	case !ok:
		panic("unknown role")
	case role == nil:
		if err := blobstoretest.SetS3Credentials(); err != nil {
			panic(err)
		}
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

// serveS3 is an S3 service, so that its memory is not counted as ours. It says
// where it listens, and lives until its standard input ends.
func serveS3() error {
	handler, err := blobstoretest.S3()
	if err != nil {
		return err
	}
	var listening net.ListenConfig
	listener, err := listening.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	fmt.Printf("http://%s\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
