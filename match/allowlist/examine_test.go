package allowlist

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Central vouches for what it has read whole, signed or not.
func TestExamine(t *testing.T) {
	dir := build(t, testConfig(1, 3), row(vnm(1)), row(vnm(2)))
	st, err := Examine(t.Context(), dir)
	if err != nil || st.Version != 3 || st.Entries != 2 {
		t.Fatalf("%+v, %v", st, err)
	}
	if err := os.WriteFile(filepath.Join(dir, StatementFile), st.Marshal(), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := Examine(t.Context(), dir); err != nil || again.Root != st.Root {
		t.Errorf("unsigned: %+v, %v", again, err)
	}
	path := filepath.Join(dir, TableFile)
	table, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(table); i += 997 {
		bad := append([]byte(nil), table...)
		bad[i] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Examine(t.Context(), dir); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d altered: %v", i, err)
		}
	}
}
