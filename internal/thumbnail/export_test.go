package thumbnail

import (
	"bytes"
	"context"
	"io"
	"time"
)

// MaxMemory is what decoding may take.
const MaxMemory = maxMemory

// MakeWithin is Make with another limit of time.
func MakeWithin(ctx context.Context, file io.Reader, decodeTimeout time.Duration) ([]byte, error) {
	return makeWithin(newSource(ctx, file, decodeTimeout))
}

// Memory says what decoding a picture is thought to take.
func Memory(ctx context.Context, file []byte) (int64, error) {
	p, err := inspect(newSource(ctx, bytes.NewReader(file), time.Minute))
	if err != nil {
		return 0, err
	}
	return p.memory(), nil
}
