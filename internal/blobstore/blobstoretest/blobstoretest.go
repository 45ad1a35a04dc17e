// Package blobstoretest is the suite that every store behind blobstore.Bucket passes.
package blobstoretest

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
)

const (
	racers = 32

	largeBytes   = 32 << 20
	largeMemory  = 8 << 20 // what a large object may allocate on its way
	testDeadline = time.Minute
)

// Run puts the store through the suite. Open returns an empty bucket, and closes
// it when its test ends.
func Run(t *testing.T, open func(t *testing.T) blobstore.Bucket) {
	t.Helper()
	tests := []struct {
		name string
		test func(*testing.T, suite)
	}{
		{"what is put can be opened", roundTrip},
		{"a spool hashes, counts and reads back", spoolReads},
		{"the same content again is left", identicalIsLeft},
		{"different content is refused and can go elsewhere", differentIsRefused},
		{"one of many writers of different content wins", differentRace},
		{"all writers of the same content succeed", identicalRace},
		{"writers share new folders", folderRace},
		{"names are synced after several were put", unsyncedNames},
		{"a context that has ended stores nothing", endedContext},
		{"malformed keys are refused", malformedKeys},
		{"keys of all kinds are kept", unusualKeys},
		{"a missing key is not found", missingKeys},
		{"what is deleted is gone, and its key is free", deletedKeys},
		{"a spool is stored once", storedOnce},
		{"a closed spool leaves nothing", closedSpool},
		{"attributes that contradict the spool are refused", contradiction},
		{"a spool of another bucket is refused", func(t *testing.T, s suite) { foreignSpool(t, s, open(t)) }},
		{"a large object takes no memory", largeObject},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), testDeadline)
			defer cancel()
			test.test(t, suite{ctx, open(t)})
		})
	}
}

// suite is one bucket under test.
type suite struct {
	ctx    context.Context
	bucket blobstore.Bucket
}

// spool returns a spool that holds content, and is closed when the test ends.
func (s suite) spool(t *testing.T, content string) *blobstore.Spool {
	t.Helper()
	spool, err := s.bucket.Spool(s.ctx)
	if err != nil {
		t.Fatalf("spool: %v", err)
	}
	t.Cleanup(func() {
		if err := spool.Close(); err != nil {
			t.Errorf("close spool: %v", err)
		}
	})
	if n, err := io.WriteString(spool, content); err != nil || n != len(content) {
		t.Fatalf("wrote %d bytes: %v", n, err)
	}
	return spool
}

func (s suite) put(key string, spool *blobstore.Spool) error {
	return s.bucket.Put(s.ctx, key, spool, blobstore.Attributes{MediaType: "text/plain", SHA256: spool.SHA256()})
}

func (s suite) mustPut(t *testing.T, key, content string) {
	t.Helper()
	if err := s.put(key, s.spool(t, content)); err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
}

// expect says that key holds content.
func (s suite) expect(t *testing.T, key, content string) {
	t.Helper()
	object, err := s.bucket.Open(s.ctx, key)
	if err != nil {
		t.Fatalf("open %q: %v", key, err)
	}
	got, err := io.ReadAll(object)
	if err = errors.Join(err, object.Close()); err != nil {
		t.Fatalf("read %q: %v", key, err)
	}
	if string(got) != content || object.Bytes != int64(len(content)) {
		t.Errorf("%q = %.40q with %d bytes, want %.40q", key, got, object.Bytes, content)
	}
}

func (s suite) expectNothing(t *testing.T, key string) {
	t.Helper()
	if object, err := s.bucket.Open(s.ctx, key); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("open %q: %v, %v; want ErrNotFound", key, object, err)
	}
}

func roundTrip(t *testing.T, s suite) {
	for key, content := range map[string]string{
		"2026-01-31/job/image.png": strings.Repeat("pixels", 100_000), "top.json": "{}", "a/b/c/d/e/f": "", "a/b/x": "beside",
	} {
		s.mustPut(t, key, content)
		s.expect(t, key, content)
	}
}

func spoolReads(t *testing.T, s suite) {
	spool := s.spool(t, "one ")
	if _, err := io.WriteString(spool, "two"); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("one two"))
	if spool.Size() != 7 || spool.SHA256() != hex.EncodeToString(sum[:]) {
		t.Errorf("spool = %d bytes with hash %s, want 7 bytes with hash %x", spool.Size(), spool.SHA256(), sum)
	}
	got, err := io.ReadAll(io.NewSectionReader(spool, 4, spool.Size()))
	if err != nil || string(got) != "two" {
		t.Errorf("read %q: %v", got, err)
	}
}

func identicalIsLeft(t *testing.T, s suite) {
	s.mustPut(t, "a/key", "content")
	s.mustPut(t, "a/key", "content")
	s.expect(t, "a/key", "content")
}

func differentIsRefused(t *testing.T, s suite) {
	s.mustPut(t, "a/key", "content")
	for _, other := range []string{"CONTENT", "content and more", ""} {
		spool := s.spool(t, other)
		if err := s.put("a/key", spool); !errors.Is(err, blobstore.ErrConflict) {
			t.Errorf("put %q: %v; want ErrConflict", other, err)
		}
		s.expect(t, "a/key", "content")
		if err := s.put("a/other-"+other, spool); err != nil {
			t.Errorf("put elsewhere: %v", err)
		}
		s.expect(t, "a/other-"+other, other)
	}
}

// race puts as many spools as there are racers at the same time.
func (s suite) race(t *testing.T, key, content func(racer int) string) []error {
	t.Helper()
	errs := make([]error, racers)
	start := make(chan struct{})
	var running sync.WaitGroup
	for i := range racers {
		spool := s.spool(t, content(i))
		running.Go(func() {
			<-start
			errs[i] = s.put(key(i), spool)
		})
	}
	close(start)
	running.Wait()
	return errs
}

func always(text string) func(int) string { return func(int) string { return text } }

func numbered(format string) func(int) string {
	return func(i int) string { return fmt.Sprintf(format, i) }
}

func differentRace(t *testing.T, s suite) {
	content := numbered("content %02d") // all of the same length
	winner := -1
	for i, err := range s.race(t, always("new/folder/key"), content) {
		switch {
		case err == nil && winner >= 0:
			t.Errorf("writers %d and %d succeeded, want one", winner, i)
		case err == nil:
			winner = i
		case !errors.Is(err, blobstore.ErrConflict):
			t.Errorf("racer %d: %v; want ErrConflict", i, err)
		}
	}
	if winner < 0 {
		t.Fatal("no writer succeeded, want one")
	}
	s.expect(t, "new/folder/key", content(winner))
}

func identicalRace(t *testing.T, s suite) {
	for i, err := range s.race(t, always("new/folder/key"), always("content")) {
		if err != nil {
			t.Errorf("racer %d: %v", i, err)
		}
	}
	s.expect(t, "new/folder/key", "content")
}

func folderRace(t *testing.T, s suite) {
	key := numbered("new/folder/of/%d")
	for i, err := range s.race(t, key, key) {
		if err != nil {
			t.Errorf("racer %d: %v", i, err)
		}
		s.expect(t, key(i), key(i))
	}
}

func unsyncedNames(t *testing.T, s suite) {
	keys := []string{"new/folder/first", "new/folder/second", "other/third"}
	for _, key := range keys {
		if err := s.bucket.Put(s.ctx, key, s.spool(t, key), blobstore.Attributes{Unsynced: true}); err != nil {
			t.Fatalf("Put(%s) error = %v, want nil", key, err)
		}
	}
	if err := s.bucket.Sync(s.ctx, keys...); err != nil {
		t.Errorf("Sync() error = %v, want nil", err)
	}
	if err := s.bucket.Sync(s.ctx); err != nil {
		t.Errorf("Sync() of nothing: error = %v, want nil", err)
	}
	for _, key := range keys {
		s.expect(t, key, key)
	}
}

func endedContext(t *testing.T, s suite) {
	spool := s.spool(t, "content")
	ended, cancel := context.WithCancel(s.ctx)
	cancel()
	if err := s.bucket.Put(ended, "key", spool, blobstore.Attributes{}); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	if _, err := s.bucket.Open(ended, "key"); !errors.Is(err, context.Canceled) {
		t.Errorf("open: %v", err)
	}
	if _, err := s.bucket.Spool(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("spool: %v", err)
	}
	s.expectNothing(t, "key")
	if err := s.put("key", spool); err != nil {
		t.Errorf("put with another context: %v", err)
	}
}

func malformedKeys(t *testing.T, s suite) {
	spool := s.spool(t, "content")
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "a/..", "../a", "a/../b", "a/../../b",
		`a\b`, "a\x00b", "a\nb", "a\x7f", "a\u0085b", "a\xffb", ".spool", ".spool/1", "a/.spool-x", ".SPOOL/1",
		strings.Repeat("n", 256), "a/" + strings.Repeat("n", 256), strings.Repeat("abcdefg/", 128) + "x",
	} {
		if err := s.put(key, spool); !errors.Is(err, blobstore.ErrKey) {
			t.Errorf("put %q: %v; want ErrKey", key, err)
		}
		if _, err := s.bucket.Open(s.ctx, key); !errors.Is(err, blobstore.ErrKey) {
			t.Errorf("open %q: %v; want ErrKey", key, err)
		}
	}
}

func unusualKeys(t *testing.T, s suite) {
	for _, key := range []string{
		"Grüße/画像 №1.png", "e\u0301/x", "\u00e9/x", "a b/c+d&e=f?g#h%20.png", "...", "a/..b", ".hidden", "-rf", "*", `"quoted"`, "spool",
		strings.Repeat("n", 255), strings.Repeat("abcdefg/", 113) + "12345678", // with space for a prefix
	} {
		s.mustPut(t, key, "content of "+key)
		s.expect(t, key, "content of "+key)
		address, err := url.Parse(s.bucket.URL(key))
		if err != nil || !strings.HasSuffix(address.Path, "/"+key) || address.User != nil || address.RawQuery != "" {
			t.Errorf("URL of %q is %s: %v", key, s.bucket.URL(key), err)
		}
	}
}

func missingKeys(t *testing.T, s suite) {
	s.mustPut(t, "a/key", "content")
	for _, key := range []string{"nothing", "a/nothing", "a", "no/folder/here", "a/key/below"} {
		s.expectNothing(t, key)
	}
}

func deletedKeys(t *testing.T, s suite) {
	s.mustPut(t, "a/key", "content")
	s.mustPut(t, "a/other", "other")
	for _, key := range []string{"a/key", "a/key", "nothing", "no/folder", "a/other/below"} {
		if err := s.bucket.Delete(s.ctx, key); err != nil {
			t.Errorf("Delete(%q) = %v, want nil", key, err)
		}
	}
	s.expectNothing(t, "a/key")
	s.expect(t, "a/other", "other")
	s.mustPut(t, "a/key", "new content")
	s.expect(t, "a/key", "new content")
	for _, key := range []string{"a/key", "a/other"} {
		if err := s.bucket.Delete(s.ctx, key); err != nil {
			t.Errorf("Delete(%q) = %v, want nil", key, err)
		}
	}
	s.mustPut(t, "a/key", "content")
	s.expect(t, "a/key", "content")
	if err := s.bucket.Delete(s.ctx, "../outside"); !errors.Is(err, blobstore.ErrKey) {
		t.Errorf("Delete of a malformed key = %v, want ErrKey", err)
	}
}

func storedOnce(t *testing.T, s suite) {
	spool := s.spool(t, "content")
	if err := s.put("key", spool); err != nil {
		t.Fatal(err)
	}
	if err := s.put("other", spool); err == nil {
		t.Error("second Put of a spool: error = nil, want one")
	}
	if n, err := io.WriteString(spool, "more"); err == nil || n != 0 {
		t.Errorf("write after Put = %d bytes, error %v, want 0 and an error", n, err)
	}
	got := make([]byte, spool.Size())
	if _, err := spool.ReadAt(got, 0); err != nil || !bytes.Equal(got, []byte("content")) {
		t.Errorf("read %q: %v", got, err)
	}
	s.expect(t, "key", "content")
	s.expectNothing(t, "other")
}

func closedSpool(t *testing.T, s suite) {
	spool := s.spool(t, "content")
	for range 2 {
		if err := spool.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if err := s.put("key", spool); err == nil {
		t.Error("Put: error = nil, want one")
	}
	if _, err := io.WriteString(spool, "more"); err == nil {
		t.Error("write: error = nil, want one")
	}
	s.expectNothing(t, "key")
}

func contradiction(t *testing.T, s suite) {
	spool := s.spool(t, "content")
	err := s.bucket.Put(s.ctx, "key", spool, blobstore.Attributes{SHA256: strings.Repeat("0", 64)})
	if err == nil {
		t.Error("Put: error = nil, want one")
	}
	s.expectNothing(t, "key")
}

func foreignSpool(t *testing.T, s suite, other blobstore.Bucket) {
	spool := s.spool(t, "content")
	if err := other.Put(s.ctx, "key", spool, blobstore.Attributes{}); err == nil {
		t.Error("Put: error = nil, want one")
	}
}

// largeObject measures the whole process, with an allowance for what other tests allocate meanwhile.
func largeObject(t *testing.T, s suite) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	spool := s.spool(t, "")
	if n, err := io.CopyN(spool, rand.NewChaCha8([32]byte{}), largeBytes); err != nil {
		t.Fatalf("wrote %d bytes: %v", n, err)
	}
	if err := s.put("large", spool); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > largeMemory {
		t.Errorf("allocated %d bytes for an object of %d, want at most %d", allocated, largeBytes, largeMemory)
	}
	object, err := s.bucket.Open(s.ctx, "large")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = object.Close() }()
	sum := sha256.New()
	if n, err := io.Copy(sum, object); err != nil || n != largeBytes || hex.EncodeToString(sum.Sum(nil)) != spool.SHA256() {
		t.Errorf("read %d other bytes: %v", n, err)
	}
}

// Outside returns the URL of a new, empty place in the bucket of a server that an
// environment variable names, such as .ci/with-object-stores starts. Where no script
// started one, the test is skipped; in CI that is a failure.
func Outside(t *testing.T, variable string) string {
	t.Helper()
	text := os.Getenv(variable)
	switch {
	case text == "" && os.Getenv("CI") != "":
		t.Fatalf("%s is not set: CI has to run the tests under .ci/with-object-stores", variable)
	case text == "":
		t.Skipf("%s is not set, so this is NOT TESTED here: .ci/with-object-stores starts the server and runs a command", variable)
	}
	address, err := url.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	address.Path = "/" + strings.ToLower(crand.Text())
	address.RawQuery = address.Query().Encode() // escaped, so that tests can find an address in it
	return address.String()
}
