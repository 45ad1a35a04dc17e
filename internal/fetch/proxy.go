package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
	"golang.org/x/net/proxy"
)

// proxy parses the URL of the proxy. It returns nil without one. The error does not contain the URL.
func (c Config) proxy() (*url.URL, error) {
	if c.ProxyURL.IsZero() {
		return nil, nil //nolint:nilnil // no proxy is no error
	}
	proxy, err := url.Parse(c.ProxyURL.Reveal())
	switch {
	case err != nil || proxy.Hostname() == "" || !isPort(proxy.Port()):
		return nil, errors.New("must be the URL of a proxy, such as http://proxy.example.com:3128")
	case proxy.Scheme != "http" && proxy.Scheme != "https" && proxy.Scheme != "socks5" && proxy.Scheme != "socks5h":
		return nil, errors.New("must begin with http://, https://, socks5:// or socks5h://")
	case proxy.Path != "" && proxy.Path != "/" || proxy.RawQuery != "" || proxy.Fragment != "":
		return nil, errors.New("must have neither path nor query")
	}
	return proxy, nil
}

// ProxyAddress returns the host and port of the proxy, or "" without one.
func (c Config) ProxyAddress() string {
	proxy, err := c.proxy()
	if err != nil || proxy == nil {
		return ""
	}
	return addressOf(proxy)
}

// addressOf returns the host and port of a proxy.
func addressOf(proxy *url.URL) string {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[proxy.Scheme]
	}
	return net.JoinHostPort(proxy.Hostname(), cmp.Or(port, "1080"))
}

// useProxy makes a transport connect to the proxy only. The guard does not decide on its address, which the operator chose.
func useProxy(transport *http.Transport, chosen options) {
	dialer := &net.Dialer{Timeout: chosen.limits.dial, Resolver: chosen.resolver}
	if strings.HasPrefix(chosen.proxy.Scheme, "socks5") {
		transport.DialContext = dialSOCKS(dialer, chosen)
		return
	}
	transport.DialContext = dialer.DialContext
	transport.Proxy = http.ProxyURL(chosen.proxy)
	transport.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, response *http.Response) error {
		if response.StatusCode != http.StatusOK {
			return &connectError{status: response.StatusCode}
		}
		return nil
	}
}

// dialSOCKS returns a function that connects to a host through a SOCKS proxy, by name. That of http.Transport waits for the answers
// of the proxy without a deadline.
func dialSOCKS(dialer *net.Dialer, chosen options) func(ctx context.Context, network, address string) (net.Conn, error) {
	var credentials *proxy.Auth
	if user := chosen.proxy.User; user != nil {
		password, _ := user.Password()
		credentials = &proxy.Auth{User: user.Username(), Password: password}
	}
	socks, err := proxy.SOCKS5("tcp", addressOf(chosen.proxy), credentials, dialer)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		through, ok := socks.(proxy.ContextDialer)
		if err != nil || !ok {
			return nil, &net.OpError{Op: opSOCKS, Net: network, Err: cmp.Or(err, errors.ErrUnsupported)}
		}
		ctx, cancel := context.WithTimeout(ctx, chosen.limits.header)
		defer cancel()
		return through.DialContext(ctx, network, address)
	}
}

// connectError is a proxy's refusal to connect to a host.
type connectError struct{ status int }

func (e *connectError) Error() string { return "the proxy answers " + strconv.Itoa(e.status) }

// proxyFailure returns the meaning of an error if the proxy caused it, else nil. A proxy that cannot connect to a host says
// that with 5xx; any other status is its own refusal.
func proxyFailure(proxy, host string, err error) *Error {
	operation, isOperation := errors.AsType[*net.OpError](err)
	refused, isRefused := errors.AsType[*connectError](err)
	switch {
	case isRefused && refused.status >= http.StatusInternalServerError:
		return brokenf(KindUnreachable, nil, "the host %s cannot be reached: the proxy %s answers %s", host, proxy, statusText(refused.status))
	case isRefused:
		return failf(KindProxy, "the proxy %s refuses to connect to the host %s: it answers %s", proxy, host, statusText(refused.status))
	case isOperation && operation.Op == "proxyconnect":
		failed := httpclient.Classify(operation.Err)
		return wrapf(KindProxy, failed.Cause, "the proxy %s %s", proxy, failed.Text)
	case isOperation && operation.Op == opSOCKS:
		return socksFailure(proxy, host, operation.Err)
	default:
		return nil
	}
}

// opSOCKS is the operation in errors of a SOCKS proxy.
const opSOCKS = "socks connect"

// socksFailure distinguishes a proxy that does not reach the host from one that cannot be used. The texts of the library are fixed; those
// of a proxy's answers about the host begin alike.
func socksFailure(proxy, host string, err error) *Error {
	failed := httpclient.Classify(err)
	operation, isOperation := errors.AsType[*net.OpError](err)
	isDial := isOperation && operation.Op == "dial"
	switch {
	case !isDial && (failed.Class == httpclient.ClassTimeout || strings.HasPrefix(err.Error(), "unknown error ")):
		return brokenf(KindUnreachable, nil, "the host %s cannot be reached: the proxy %s does not connect to it", host, proxy)
	case failed.Class == httpclient.ClassProtocol:
		return failf(KindProxy, "the proxy %s cannot be used: %s", proxy, err)
	default:
		return wrapf(KindProxy, failed.Cause, "the proxy %s %s", proxy, failed.Text)
	}
}

func statusText(status int) string { return fmt.Sprintf("%d %s", status, http.StatusText(status)) }

// EnvironmentProxy returns the name of the variable of the environment that sets a proxy, which is not used; "" if there is none.
func EnvironmentProxy() string {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		if os.Getenv(name) != "" {
			return name
		}
	}
	return ""
}
