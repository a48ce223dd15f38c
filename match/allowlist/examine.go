package allowlist

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// Examine proves that the table in a folder is what its statement states,
// page by page, whoever signed the statement or nobody: what central asks
// before its update repository vouches for both.
func Examine(ctx context.Context, dir string) (Statement, error) {
	raw, err := readSmall(filepath.Join(dir, StatementFile), statementSize)
	if err != nil {
		return Statement{}, fmt.Errorf("read list statement: %w", err)
	}
	st, err := ParseStatement(raw)
	if err != nil {
		return st, err
	}
	t, err := openTable(dir, st, nil)
	if err != nil {
		return st, err
	}
	return st, errors.Join(t.Verify(ctx), t.Close())
}
