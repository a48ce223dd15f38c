package store

import "testing"

// TestDurableSettings: the driver is compiled with synchronous=NORMAL in WAL
// mode, which loses acknowledged results in a power cut.
func TestDurableSettings(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "secure_delete": "1",
		"page_size": "16384", "wal_autocheckpoint": "1024"} {
		var got string
		if err := s.write.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, want %s (%v)", pragma, got, want, err)
		}
	}
	if _, err := s.read.Exec("DELETE FROM results"); err == nil {
		t.Error("the reading connections can write")
	}
}
