package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"strings"
	"time"
)

// maxRows is how many rows one INSERT statement has at most. Each has a power of two, so that there are few statements to prepare.
const maxRows = 128

// ErrNotFound is a refusal: there is no such row.
var ErrNotFound = Refuse("not found")

// Refusal is the error of an operation that was not allowed and has changed nothing. It does not roll back the other
// operations that share its transaction.
type Refusal interface {
	error
	Refused()
}

type refusal string

// Refuse returns a Refusal with this text.
func Refuse(text string) Refusal {
	r := refusal(text)
	return &r
}

func (r *refusal) Error() string { return string(*r) }

// Refused makes it a Refusal.
func (*refusal) Refused() {}

func isRefusal(err error) bool {
	_, ok := errors.AsType[Refusal](err)
	return ok
}

// NotFound replaces sql.ErrNoRows by ErrNotFound.
func NotFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// Wrap prefixes an error with the operation that failed, such as "history: list"; nil stays nil.
func Wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", operation, err)
}

// Querier runs a query: a pool or a transaction.
type Querier interface {
	QueryContext(ctx context.Context, query string, arguments ...any) (*sql.Rows, error)
}

// Rows is the result of a query.
type Rows struct{ *sql.Rows }

// Query runs a query. The caller must call ForEach.
func Query(ctx context.Context, from Querier, query string, arguments ...any) (*Rows, error) {
	rows, err := from.QueryContext(ctx, query, arguments...) //nolint:rowserrcheck,sqlclosecheck // ForEach does both
	if err != nil {
		return nil, err
	}
	return &Rows{rows}, nil
}

// ForEach calls scan for every row and closes the rows.
func (r *Rows) ForEach(scan func() error) error {
	defer func() { _ = r.Close() }()
	for r.Next() {
		if err := scan(); err != nil {
			return err
		}
	}
	return r.Err()
}

// Select returns the rows of a query. columns returns the pointers into which a row is scanned.
func Select[T any](ctx context.Context, from Querier, columns func(*T) []any, query string, arguments ...any) (list []T, err error) {
	rows, err := Query(ctx, from, query, arguments...)
	if err != nil {
		return nil, err
	}
	err = rows.ForEach(func() error {
		var row T
		err := rows.Scan(columns(&row)...)
		list = append(list, row)
		return err
	})
	return list, err
}

// SelectColumn returns the rows of a query with one column.
func SelectColumn[T any](ctx context.Context, from Querier, query string, arguments ...any) ([]T, error) {
	return Select(ctx, from, func(value *T) []any { return []any{value} }, query, arguments...)
}

// SourceBytes are the bytes of the bodies of a client IP.
type SourceBytes struct {
	Small int64 // of bodies of at most memory.SmallBytes
	Large int64 // of the others
}

// SumBySource returns the bytes of each client IP; that of an unknown one is the zero Addr. bodies is a query for the columns source, ""
// for an unknown one, and bytes.
func SumBySource(ctx context.Context, from Querier, bodies string) (map[netip.Addr]SourceBytes, error) {
	type row struct {
		source       string
		small, large int64
	}
	list, err := Select(ctx, from, func(r *row) []any { return []any{&r.source, &r.small, &r.large} }, `SELECT source,
			CAST(sum(CASE WHEN bytes <= 65536 THEN bytes ELSE 0 END) AS BIGINT), CAST(sum(CASE WHEN bytes > 65536 THEN bytes ELSE 0 END) AS BIGINT)
		FROM (`+bodies+`) AS bodies GROUP BY source`)
	if err != nil {
		return nil, Wrap("database: sum by source", err)
	}
	sums := map[netip.Addr]SourceBytes{}
	for _, r := range list {
		source, _ := netip.ParseAddr(r.source)
		sum := sums[source]
		sums[source] = SourceBytes{Small: sum.Small + r.small, Large: sum.Large + r.large}
	}
	return sums, nil
}

// Insert collects rows and inserts many of them with each statement.
type Insert struct {
	Into    string // table and columns: events (id, job)
	Columns int
	Suffix  string // what follows the values, such as ON CONFLICT DO NOTHING
	values  []any
}

// Add adds a row.
func (i *Insert) Add(row ...any) { i.values = append(i.values, row...) }

// Run inserts the rows. scan is called for every row that a statement returns; it may be nil if Suffix returns none.
func (i *Insert) Run(ctx context.Context, tx *sql.Tx, scan func(*Rows) error) error {
	for len(i.values) > 0 {
		count := min(1<<(bits.Len(uint(len(i.values)/i.Columns))-1), maxRows)
		chunk := i.values[:count*i.Columns]
		i.values = i.values[len(chunk):]
		rows, err := Query(ctx, tx, "INSERT INTO "+i.Into+" VALUES "+Values(count, i.Columns)+i.Suffix, chunk...)
		if err != nil {
			return err
		}
		if err := rows.ForEach(func() error { return scan(rows) }); err != nil {
			return err
		}
	}
	return nil
}

// FromMicros converts a column with microseconds since 1970 to UTC; 0 is the zero time.
func FromMicros(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// SanitizeText makes untrusted text fit for a text column: valid UTF-8 without zero bytes, which Postgres refuses.
func SanitizeText(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}
