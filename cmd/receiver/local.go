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

// loadFor reads the configuration for a command that needs only some variables:
// faults of others are none of its business.
func loadFor(names ...string) (config.Config, error) {
	c, err := config.Load(builtin.All())
	var faults *config.Faults
	if errors.As(err, &faults) && !faults.Of(names...) {
		return c, nil
	}
	return c, err
}

// listenVariables say where a receiver on this machine listens.
func listenVariables() []string { return []string{"RECEIVER_LISTEN_ADDR", "PORT"} }

// localURL is the address at which a program on this machine reaches a listener.
func localURL(listenAddr string) (string, error) {
	host, port, err := net.SplitHostPort(listenAddr)
	if err != nil {
		return "", wrongUsage("the address %q to listen on has no port", listenAddr)
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return "", wrongUsage("the address %q to listen on leaves the port open, so it cannot be known", listenAddr)
	}
	if address, err := netip.ParseAddr(host); host == "" || err == nil && address.IsUnspecified() {
		host = "127.0.0.1" // whoever listens on all addresses listens on this one, also when it says [::]
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

// withoutURL drops the URL from an error of an HTTP client: the token may be in it.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// stayPut makes an HTTP client return a redirect as the answer that it is: what
// was asked for is here, and a token must not travel on.
func stayPut(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
