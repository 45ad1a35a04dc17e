package imagefile

import (
	"errors"
	"fmt"
	"io"
)

const (
	readBudget = 1 << 20 // bytes that one inspection may cost
	readCost   = 64      // the least that one read costs, so that their number is bounded too
	tailBytes  = 64 << 10
)

// errBudget says that the headers are spread over more of the file than we look at.
var errBudget = unknown("its headers are spread too far")

// source is a file that is read here and there, under a budget.
type source struct {
	reader io.ReaderAt
	size   int64
	budget int
}

// read fills p from offset. It is ErrTruncated when the file ends before that.
func (s *source) read(p []byte, offset int64) error {
	if offset < 0 || offset > s.size-int64(len(p)) {
		return truncated("a header lies beyond the end of the file")
	}
	s.budget -= max(len(p), readCost)
	if s.budget < 0 {
		return errBudget
	}
	n, err := s.reader.ReadAt(p, offset)
	switch {
	case n == len(p):
		return nil
	case errors.Is(err, io.EOF):
		return truncated("the file is shorter than it should be")
	}
	return fmt.Errorf("imagefile: %w", err)
}

// tail gives the last bytes of the file, at most limit of them and none before from.
func (s *source) tail(from, limit int64) ([]byte, error) {
	if from >= s.size {
		return nil, truncated("the file ends before its content")
	}
	p := make([]byte, min(limit, s.size-from))
	return p, s.read(p, s.size-int64(len(p)))
}
