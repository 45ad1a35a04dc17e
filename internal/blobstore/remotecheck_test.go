package blobstore_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, address string) {
		t.Helper()
		bucket := openRemote(t, address)
		for range 2 {
			if err := bucket.Check(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestCheckOfAFolder(t *testing.T) {
	t.Parallel()
	if err := openBucket(t, t.TempDir()).Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// A service that does not keep the condition would let one object overwrite another.
func TestCheckFindsAServiceThatOverwrites(t *testing.T) {
	t.Parallel()
	bucket := openRemote(t, behind(t, s3Here(t), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r.Header.Del("If-None-Match")
		next.ServeHTTP(w, r)
	}))
	for range 2 {
		if err := bucket.Check(t.Context()); !errors.Is(err, blobstore.ErrOverwrites) || !strings.Contains(err.Error(), "overwrite") {
			t.Errorf("check: %v", err)
		}
	}
}

func TestCheckSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	answer := func(status int, code string) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>a&#10;b \u0085</Message></Error>")
		}
	}
	for name, row := range map[string]struct {
		handle func(http.ResponseWriter, *http.Request, http.Handler)
		says   string
	}{
		"denied":        {answer(http.StatusForbidden, "AccessDenied"), "answered 403 AccessDenied"},
		"no bucket":     {answer(http.StatusNotFound, "NoSuchBucket"), "has no bucket images"},
		"no conditions": {answer(http.StatusNotImplemented, "NotImplemented"), "conditional writes, If-None-Match, are needed"},
		"no S3":         {func(w http.ResponseWriter, r *http.Request, _ http.Handler) { http.NotFound(w, r) }, "has no bucket"},
		"an odd answer": {answer(http.StatusTeapot, "\x1b[2J"), "answered 418"},
		"cannot be read": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method == http.MethodGet {
				answer(http.StatusForbidden, "AccessDenied")(w, r, next)
				return
			}
			next.ServeHTTP(w, r)
		}, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := openRemote(t, behind(t, s3Here(t), row.handle)).Check(t.Context())
			if err == nil || !strings.Contains(err.Error(), row.says) || !strings.Contains(err.Error(), "s3://images") || strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("says %q, want %q", err, row.says)
			}
		})
	}
}

func TestCheckFindsNoBucket(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, address string) {
		t.Helper()
		if strings.HasPrefix(address, "gs:") {
			return // the emulator makes buckets by itself
		}
		parsed, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		parsed.Host = "nowhere"
		if err := openRemote(t, parsed.String()).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "nowhere cannot be used") || !strings.Contains(err.Error(), "has no") {
			t.Errorf("check: %v", err)
		}
	})
}

// The name of the object that Check leaves is used for nothing else.
func TestCheckStandsInNobodysWay(t *testing.T) {
	t.Parallel()
	if err := blobstore.CheckKey(".spool-check"); err == nil {
		t.Error("CheckKey of the reserved name: error = nil, want one")
	}
}
