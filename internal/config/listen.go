package config

import (
	"net"
	"os"
	"strconv"
	"strings"
)

const (
	listenVariable = prefix + "LISTEN_ADDR"
	portVariable   = "PORT" // set by platforms that run containers
)

// readPort uses the port of the platform if LISTEN_ADDR is not set.
func (c *Config) readPort(errs *ValidationErrors) {
	set := strings.TrimSpace(os.Getenv(listenVariable)) != ""
	port := os.Getenv(portVariable)
	switch {
	case set:
	case port == "":
	case !isPort(port) || port == "0":
		errs.add(portVariable, "is %s, and must be a port number from 1 to 65535", quote(port))
	default:
		c.HTTP.ListenAddr = ":" + port
	}
}

func (c *Config) validateListenAddr(errs *ValidationErrors) {
	if errs.Of(listenVariable) {
		return
	}
	_, port, err := net.SplitHostPort(c.HTTP.ListenAddr)
	if err != nil || !isPort(port) {
		errs.add(listenVariable, "is %s, and must be an address such as :8080 or 127.0.0.1:8080", quote(c.HTTP.ListenAddr))
	}
}

func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}
