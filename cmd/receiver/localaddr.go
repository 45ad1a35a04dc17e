package main

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/handler/builtin"
)

// loadFor loads the configuration for a command that needs only some variables. It ignores faults of the others.
func loadFor(names ...string) (config.Config, error) {
	c, err := config.Load(builtin.All())
	var faults *config.ValidationErrors
	if errors.As(err, &faults) && !faults.Of(names...) {
		return c, nil
	}
	return c, err
}

// listenVariables are the variables that set the public listener.
func listenVariables() []string { return []string{"RECEIVER_LISTEN_ADDR", "PORT"} }

// localURL returns the URL of a listener for programs on this machine.
func localURL(listenAddr string) (string, error) {
	host, port, err := net.SplitHostPort(listenAddr)
	if err != nil {
		return "", wrongUsage("the listen address %q has no port", listenAddr)
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return "", wrongUsage("the listen address %q has no fixed port; pass --url", listenAddr)
	}
	if address, err := netip.ParseAddr(host); host == "" || err == nil && address.IsUnspecified() {
		host = "127.0.0.1" // all addresses include this one, also with [::]
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

// withoutURL removes the URL from an error of an HTTP client: it may contain the token.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// keepRedirect makes an HTTP client return a redirect as the response: a token must not go to another address.
func keepRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
