package admin

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"time"

	"github.com/deepimage-receiver/receiver/internal/secret"
)

const (
	sessionName = "receiver_session"
	// sessionLife is how long a session lasts. It ends earlier when the token changes.
	sessionLife = 12 * time.Hour
)

// sessions are kept by the browser, signed with a key made of the token: all replicas know them, and
// none after the token has changed.
type sessions struct{ key []byte }

func newSessions(token secret.Value) *sessions {
	mac := hmac.New(sha256.New, []byte(token.Reveal()))
	mac.Write([]byte("receiver admin session 1"))
	return &sessions{key: mac.Sum(nil)}
}

// seal makes the value of a session: when it ends, something random, and both signed.
func (s *sessions) seal(ends time.Time) string {
	value := binary.BigEndian.AppendUint64(nil, uint64(ends.Unix()))
	value = append(value, rand.Text()...)
	return base64.RawURLEncoding.EncodeToString(append(value, s.sign(value)...))
}

func (s *sessions) sign(value []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write(value)
	return mac.Sum(nil)
}

// has says whether a request is part of a session.
func (s *sessions) has(r *http.Request, now time.Time) bool {
	const endsBytes = 8
	cookie, err := r.Cookie(sessionName)
	if err != nil {
		return false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil || len(sealed) < endsBytes+sha256.Size {
		return false
	}
	value, signature := sealed[:len(sealed)-sha256.Size], sealed[len(sealed)-sha256.Size:]
	if !hmac.Equal(signature, s.sign(value)) {
		return false
	}
	return now.Before(time.Unix(int64(binary.BigEndian.Uint64(value)), 0))
}

// cookie is what keeps a session in a browser, or with an empty value what ends it.
func cookie(r *http.Request, value string) *http.Cookie {
	age := int(sessionLife.Seconds())
	if value == "" {
		age = -1
	}
	return &http.Cookie{ //nolint:gosec // Secure wherever there is TLS
		Name: sessionName, Value: value, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	}
}
