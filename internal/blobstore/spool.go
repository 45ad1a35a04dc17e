package blobstore

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
)

// MaxBytes is the most that one spool takes, and so the largest object: 64 GiB.
const MaxBytes = 64 << 30

// Spool is a local file that takes content on its way into a bucket, and hashes
// and counts it in passing. It belongs to one goroutine at a time.
type Spool struct {
	disk   *disk // that name is looked up in
	name   string
	file   *os.File
	sum    hash.Hash
	size   int64
	synced bool  // nothing was written since the last sync
	failed error // why nothing more can be written or stored; nil while all is well
}

// newSpool makes an empty file called name, which must not exist.
func newSpool(disk *disk, name string) (*Spool, error) {
	file, err := disk.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, filePermissions)
	if err != nil {
		return nil, failure("make a spool", err)
	}
	spool := &Spool{disk: disk, name: name, file: file, sum: sha256.New()}
	if disk.modes.file != 0 {
		if err := file.Chmod(disk.modes.file); err != nil {
			return nil, errors.Join(failure("set the mode of a spool", err), spool.Close())
		}
	}
	return spool, nil
}

// Write appends p. After a failure every further Write, and Put, returns the same
// error, because the file may hold a part of p. It is ErrFull when the disk has
// no space and ErrTooLarge when p would pass MaxBytes.
func (s *Spool) Write(p []byte) (int, error) {
	if s.failed != nil {
		return 0, s.failed
	}
	if int64(len(p)) > MaxBytes-s.size {
		s.failed = fmt.Errorf("%w: over %d bytes", ErrTooLarge, int64(MaxBytes))
		return 0, s.failed
	}
	n, err := s.file.Write(p)
	s.sum.Write(p[:n])
	s.size += int64(n)
	s.synced = false
	if err != nil {
		s.failed = failure("write to a spool", err)
	}
	return n, s.failed
}

// ReadAt reads what was written, also after it was put, until Close.
func (s *Spool) ReadAt(p []byte, offset int64) (int, error) { return s.file.ReadAt(p, offset) }

// Size is the number of bytes written.
func (s *Spool) Size() int64 { return s.size }

// SHA256 is the hash of all that was written, 64 lower-case hexadecimal digits.
func (s *Spool) SHA256() string { return hex.EncodeToString(s.sum.Sum(nil)) }

// Close closes the file and removes it, unless it was stored. It may be called again.
func (s *Spool) Close() error {
	err := s.file.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	return errors.Join(err, s.unlink())
}

// check says whether the spool can be put with these attributes.
func (s *Spool) check(attributes Attributes) error {
	if s.failed != nil {
		return s.failed
	}
	if s.name == "" {
		return errClosed
	}
	if attributes.SHA256 != "" && attributes.SHA256 != s.SHA256() {
		return fmt.Errorf("blobstore: the spool holds %s, not %s", s.SHA256(), attributes.SHA256)
	}
	return nil
}

// sync makes what was written safe from a crash. A failed sync is final: the
// kernel drops the pages that it could not write and says so only once.
func (s *Spool) sync() error {
	if s.failed != nil || s.synced {
		return s.failed
	}
	if err := s.disk.sync(s.file); err != nil {
		s.failed = failure("sync a spool", err)
		return s.failed
	}
	s.synced = true
	return nil
}

// seal refuses further writes, since the file is an object now, and takes away the spool's name for it.
func (s *Spool) seal() {
	s.failed = errStored
	_ = s.unlink() // Close tries again and reports the error
}

func (s *Spool) unlink() error {
	if s.name == "" {
		return nil
	}
	err := s.disk.Remove(s.name)
	// A bucket that was closed first has removed all its spools.
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, os.ErrClosed) {
		return failure("remove a spool", err)
	}
	s.name = ""
	return nil
}

var (
	errStored = errors.New("blobstore: the spool was stored already")
	errClosed = errors.New("blobstore: the spool is closed")
)
