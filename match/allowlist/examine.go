package allowlist

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// Examine proves that the table in a folder is what its statement states,
// page by page, whoever signed the statement or nobody: what central asks
// before its update repository vouches for both.
func Examine(ctx context.Context, dir string) (Statement, error) {
	t, err := OpenBuilt(dir)
	if err != nil {
		return Statement{}, err
	}
	return t.st, errors.Join(t.Verify(ctx), t.Close())
}

// OpenBuilt opens a list where it was built, for Diff and BuildConfig.Base: its
// pages are proven against its statement, and that counts whoever signed it.
// It cannot be asked.
func OpenBuilt(dir string) (*Table, error) {
	raw, err := readSmall(filepath.Join(dir, StatementFile), statementSize)
	if err != nil {
		return nil, fmt.Errorf("read list statement: %w", err)
	}
	st, err := ParseStatement(raw)
	if err != nil {
		return nil, err
	}
	return openTable(dir, st, nil)
}

// OpenTarget opens the list of the update repository, for CheckDelta: a
// statement that the caller has proven, and the path of its table.
func OpenTarget(statement []byte, table string) (*Table, error) {
	st, err := ParseProven(statement)
	if err != nil {
		return nil, err
	}
	return openTableFile(table, st, nil)
}

// InFolder gives the statement of the list that a Store's folder has in force,
// for whoever looks at it from outside: nothing is proven by it. The error is
// fs.ErrNotExist where there is none.
func InFolder(dir string) (Statement, error) {
	m, err := readMark(dir)
	if err != nil {
		return Statement{}, err
	}
	if m.none() {
		return Statement{}, fmt.Errorf("list folder %s: no list: %w", dir, fs.ErrNotExist)
	}
	raw, err := readSmall(filepath.Join(m.path(dir), StatementFile), statementSize)
	if err != nil {
		return Statement{}, fmt.Errorf("read list statement: %w", err)
	}
	return ParseStatement(raw)
}
