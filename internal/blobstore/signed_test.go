package blobstore_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
)

func TestSignedURL(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, address string) {
		t.Helper()
		bucket := openRemote(t, address)
		const key = "a b/c+d&e=f?g#h%20 Grüße.png"
		if err := put(t, bucket, key, "content"); err != nil {
			t.Fatal(err)
		}
		link, err := bucket.SignedURL(t.Context(), key, time.Hour)
		if strings.HasPrefix(address, "gs:") { // its emulator knows no keys
			if !errors.Is(err, blobstore.ErrUnsupported) {
				t.Errorf("signed %q: %v", link, err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if status, body := get(t, link); status != http.StatusOK || body != "content" {
			t.Errorf("response of %s = %d %q, want the object", link, status, body)
		}
		other, err := bucket.SignedURL(t.Context(), "nothing", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if status, _ := get(t, other); status != http.StatusNotFound {
			t.Errorf("status of a link to a missing object = %d, want 404", status)
		}
		for _, expiry := range []time.Duration{0, -time.Hour, time.Millisecond, 8 * 24 * time.Hour} {
			if link, err := bucket.SignedURL(t.Context(), key, expiry); err == nil {
				t.Errorf("SignedURL for %s = %s, want an error", expiry, link)
			}
		}
		if _, err := bucket.SignedURL(t.Context(), "../x", time.Hour); !errors.Is(err, blobstore.ErrKey) {
			t.Errorf("of no key: %v", err)
		}
	})
}

// Services believe a link as it is, and not one for which it was not meant.
func TestSignedURLHoldsForOneObject(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, address string) {
		t.Helper()
		if strings.HasPrefix(address, "gs:") || strings.HasPrefix(address, "s3:") && strings.HasPrefix(address, "s3://images/?") {
			return // they look at no signature
		}
		bucket := openRemote(t, address)
		if err := errors.Join(put(t, bucket, "one", "1"), put(t, bucket, "two", "2")); err != nil {
			t.Fatal(err)
		}
		link, err := bucket.SignedURL(t.Context(), "one", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if status, _ := get(t, strings.Replace(link, "/one?", "/two?", 1)); status != http.StatusForbidden {
			t.Errorf("status of a link changed to another object = %d, want a refusal", status)
		}
	})
}

func TestSignedURLOfAFolder(t *testing.T) {
	t.Parallel()
	if link, err := openBucket(t, t.TempDir()).SignedURL(t.Context(), "key", time.Hour); !errors.Is(err, blobstore.ErrUnsupported) {
		t.Errorf("signed %q: %v", link, err)
	}
}

func get(t *testing.T, link string) (status int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	answer, err := client.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// newKey makes the private key of a service account, in PEM.
func newKey(t *testing.T) (*rsa.PrivateKey, []byte) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// The steps of the V4 process are written out as Google describes them.
func TestSignedURLOfGoogle(t *testing.T) {
	t.Parallel()
	key, encoded := newKey(t)
	endpoint := &url.URL{Scheme: "https", Host: "storage.googleapis.com"}
	at := time.Date(2026, 2, 1, 9, 0, 0, 0, time.UTC)
	link, err := blobstore.SignGCS(endpoint, "me@project.iam.gserviceaccount.com", encoded, "images", "a b/c+d~é?.png", at, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	const path = "/images/a%20b/c%2Bd~%C3%A9%3F.png"
	const query = "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=me%40project.iam.gserviceaccount.com%2F20260201%2Fauto%2Fstorage%2Fgoog4_request" +
		"&X-Goog-Date=20260201T090000Z&X-Goog-Expires=10&X-Goog-SignedHeaders=host"
	signed, signature, found := strings.Cut(link, "&X-Goog-Signature=")
	if want := "https://storage.googleapis.com" + path + "?" + query; !found || signed != want {
		t.Fatalf("the link is\n%s, want\n%s", signed, want)
	}
	request := sha256.Sum256([]byte("GET\n" + path + "\n" + query + "\nhost:storage.googleapis.com\n\nhost\nUNSIGNED-PAYLOAD"))
	sum := sha256.Sum256(fmt.Appendf(nil, "GOOG4-RSA-SHA256\n20260201T090000Z\n20260201/auto/storage/goog4_request\n%x", request))
	raw, err := hex.DecodeString(signature)
	if err != nil || rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], raw) != nil {
		t.Errorf("the signature %s does not fit: %v", signature, err)
	}
}
