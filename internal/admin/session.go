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
	sessionCookie = "receiver_session"
	// sessionLifetime is the lifetime of a session. It ends earlier at a logout, or when the token changes.
	sessionLifetime = 12 * time.Hour
)

// sessions are cookies signed with a key derived from the token. So all replicas accept them, and none does after the
// token has changed. Logouts are stored, so that a copied cookie is refused by all replicas, also after a restart. While the
// store does not respond, no session is accepted.
type sessions struct {
	key   []byte
	ended *SessionStore
}

// session is the content of a valid cookie.
type session struct {
	id   string // random, and useless without the signature
	ends time.Time
}

func newSessions(token secret.Value, ended *SessionStore) *sessions {
	mac := hmac.New(sha256.New, []byte(token.Reveal()))
	mac.Write([]byte("receiver admin session 1"))
	return &sessions{key: mac.Sum(nil), ended: ended}
}

// create returns the cookie value of a new session: its end, a random id, and the signature of both.
func (s *sessions) create(ends time.Time) string {
	value := binary.BigEndian.AppendUint64(nil, uint64(ends.Unix()))
	value = append(value, rand.Text()...)
	return base64.RawURLEncoding.EncodeToString(append(value, s.sign(value)...))
}

func (s *sessions) sign(value []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write(value)
	return mac.Sum(nil)
}

// read returns the session of a request, if its signature is right and its lifetime has not passed.
func (s *sessions) read(r *http.Request, now time.Time) (session, bool) {
	const endsBytes = 8
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return session{}, false
	}
	signed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil || len(signed) < endsBytes+sha256.Size {
		return session{}, false
	}
	value, signature := signed[:len(signed)-sha256.Size], signed[len(signed)-sha256.Size:]
	if !hmac.Equal(signature, s.sign(value)) {
		return session{}, false
	}
	found := session{id: string(value[endsBytes:]), ends: time.Unix(int64(binary.BigEndian.Uint64(value)), 0)}
	return found, now.Before(found.ends)
}

// isValid reports whether a request has a session that has not ended.
func (s *sessions) isValid(r *http.Request) (bool, error) {
	found, ok := s.read(r, time.Now())
	if !ok {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	ended, err := s.ended.SessionEnded(ctx, found.id)
	return err == nil && !ended, storeFailure(err)
}

// end ends the session of a request, if it has one.
func (s *sessions) end(r *http.Request) error {
	found, ok := s.read(r, time.Now())
	if !ok {
		return nil
	}
	return storeFailure(s.ended.EndSession(r.Context(), found.id, found.ends))
}

// newCookie returns the cookie with a session; an empty value deletes it.
func (a *Admin) newCookie(r *http.Request, value string) *http.Cookie {
	age := int(sessionLifetime.Seconds())
	if value == "" {
		age = -1
	}
	return &http.Cookie{ //nolint:gosec // Secure wherever there is TLS
		Name: sessionCookie, Value: value, Path: a.config.basePath() + "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: isSecure(r),
	}
}

// isSecure reports whether the browser uses TLS, to this listener or to a proxy in front of it.
func isSecure(r *http.Request) bool {
	return r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
}
