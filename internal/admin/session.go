package admin

import (
	"context"
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
	// sessionLife is how long a session lasts. It ends earlier when the token changes, or when somebody logs out of it.
	sessionLife = 12 * time.Hour
)

// Sessions keeps in mind which sessions were ended before their time.
type Sessions interface {
	// EndSession has a session refused from now on, at least until it would have ended by itself.
	EndSession(ctx context.Context, id string, ends time.Time) error
	SessionEnded(ctx context.Context, id string) (bool, error)
}

// sessions are kept by the browser, signed with a key made of the token: all replicas know them, and
// none after the token has changed. What the browser cannot be trusted with, that a session was ended, is kept in
// the store: so a copied cookie is worth nothing after its session was logged out of, at no replica, and also not after a
// restart. While the store does not answer nobody gets in by a session, because nobody can tell.
type sessions struct {
	key   []byte
	ended Sessions
}

// session is one that somebody logged in to.
type session struct {
	id   string // random, and of no use without the signature
	ends time.Time
}

func newSessions(token secret.Value, ended Sessions) *sessions {
	mac := hmac.New(sha256.New, []byte(token.Reveal()))
	mac.Write([]byte("receiver admin session 1"))
	return &sessions{key: mac.Sum(nil), ended: ended}
}

// seal makes the value of a new session: when it ends, something random, and both signed.
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

// read gives the session that a request carries, if it is one of ours and has not ended by itself.
func (s *sessions) read(r *http.Request, now time.Time) (session, bool) {
	const endsBytes = 8
	cookie, err := r.Cookie(sessionName)
	if err != nil {
		return session{}, false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil || len(sealed) < endsBytes+sha256.Size {
		return session{}, false
	}
	value, signature := sealed[:len(sealed)-sha256.Size], sealed[len(sealed)-sha256.Size:]
	if !hmac.Equal(signature, s.sign(value)) {
		return session{}, false
	}
	found := session{id: string(value[endsBytes:]), ends: time.Unix(int64(binary.BigEndian.Uint64(value)), 0)}
	return found, now.Before(found.ends)
}

// has says whether a request is part of a session that nobody has ended.
func (s *sessions) has(r *http.Request) (bool, error) {
	found, ok := s.read(r, time.Now())
	if !ok {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	ended, err := s.ended.SessionEnded(ctx, found.id)
	return err == nil && !ended, storeFailure(err)
}

// end ends the session that a request carries, if it carries one.
func (s *sessions) end(r *http.Request) error {
	found, ok := s.read(r, time.Now())
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	return storeFailure(s.ended.EndSession(ctx, found.id, found.ends))
}

// cookie is what keeps a session in a browser, or with an empty value what ends it.
func cookie(r *http.Request, value string) *http.Cookie {
	age := int(sessionLife.Seconds())
	if value == "" {
		age = -1
	}
	return &http.Cookie{ //nolint:gosec // Secure wherever there is TLS
		Name: sessionName, Value: value, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: isSecure(r),
	}
}

// isSecure says whether the browser speaks TLS, to us or to a proxy before us.
func isSecure(r *http.Request) bool {
	return r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
}
