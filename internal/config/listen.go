package config

import (
	"net"
	"os"
	"strconv"
)

const (
	listenVariable = prefix + "LISTEN_ADDR"
	portVariable   = "PORT" // how platforms that run containers say on which port they expect the service
)

// readPort honours the port of the platform when no address of our own is set.
// An empty one counts as not set, since PORT is not ours to be strict about.
func (c *Config) readPort(faults *Faults) {
	_, set := os.LookupEnv(listenVariable)
	port := os.Getenv(portVariable)
	switch {
	case set:
	case port == "":
	case !isPort(port) || port == "0":
		faults.add(portVariable, "is %s, and must be a port number from 1 to 65535", quote(port))
	default:
		c.HTTP.ListenAddr = ":" + port
	}
}

func (c *Config) validateListenAddr(faults *Faults) {
	if faults.Of(listenVariable) {
		return
	}
	_, port, err := net.SplitHostPort(c.HTTP.ListenAddr)
	if err != nil || !isPort(port) {
		faults.add(listenVariable, "is %s, and must be an address such as :8080 or 127.0.0.1:8080", quote(c.HTTP.ListenAddr))
	}
}

func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}
