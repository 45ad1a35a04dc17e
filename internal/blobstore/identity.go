package blobstore

import (
	"errors"
	"fmt"
	"net/url"
)

// identityError says where credentials were looked for, and why there are none.
type identityError struct{ sources, reason string }

func newIdentityError(sources string, err error) *identityError {
	return &identityError{sources: sources, reason: reason(err)}
}

// Error names the sources and the reason.
func (e *identityError) Error() string { return "no credentials in " + e.sources + ": " + e.reason }

// Is makes it an ErrDenied.
func (e *identityError) Is(target error) bool { return target == ErrDenied }

// NonRetriable stops Azure's library from an immediate retry.
func (e *identityError) NonRetriable() {}

// reason returns the text of an error without the URL that was asked, whose query can hold a token.
func reason(err error) string {
	if asked, ok := errors.AsType[*url.Error](err); ok {
		host := "its server"
		if address, err := url.Parse(asked.URL); err == nil {
			host = address.Host
		}
		return unreached(host, asked.Err).Error()
	}
	return quoted(fmt.Sprint(err))
}
