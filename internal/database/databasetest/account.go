package databasetest

import (
	"errors"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// account is the user that runs the server, because Postgres refuses to run as root.
type account struct{ uid, gid uint32 }

// serverAccount returns nil if this process does not run as root.
func serverAccount() (*account, error) {
	if os.Getuid() != 0 {
		return nil, nil //nolint:nilnil // nil is the account of this process
	}
	for _, name := range []string{"postgres", "daemon"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(found.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
		return &account{uint32(uid), uint32(gid)}, errors.Join(uidErr, gidErr)
	}
	return nil, errors.New("no account postgres or daemon to run the server")
}

func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

func (a *account) attributes() *syscall.SysProcAttr {
	// In a process group of its own, so that an interrupt at the terminal does not reach the server.
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if a != nil {
		attributes.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attributes
}
