package pack

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"gateagent/internal/durable"
)

// Write makes the folder of a pack: the models, and pack.json with their
// hashes. The names of the files come from m, hash and size from the content.
// The same input gives the same bytes. A pack that is there is replaced as a
// whole; its calibration was for the old one and goes with it, unless the new
// pack.json is the same to the byte.
func Write(dir string, m Manifest, models map[Role][]byte) (err error) {
	if len(models) != len(m.Files) {
		return fmt.Errorf("model pack %s: %d models for %d files", dir, len(models), len(m.Files))
	}
	files := map[Role]File{}
	for role, f := range m.Files {
		raw := models[role]
		sum := sha256.Sum256(raw)
		f.SHA256, f.Bytes = hex.EncodeToString(sum[:]), int64(len(raw))
		files[role] = f
	}
	m.Files = files
	manifest, err := m.Encode()
	if err != nil {
		return fmt.Errorf("model pack %s: %w", dir, err)
	}
	content := map[string][]byte{ManifestFile: manifest}
	for role, f := range m.Files {
		content[f.Name] = models[role]
	}
	old, _ := os.ReadFile(filepath.Join(dir, ManifestFile))
	if string(old) == string(manifest) {
		if kept, err := os.ReadFile(filepath.Join(dir, CalibrationFile)); err == nil {
			content[CalibrationFile] = kept
		}
	}
	if len(old) == 0 {
		// Only a folder that was a pack may be replaced.
		if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
			return fmt.Errorf("%s is there and is no model pack: name an empty or a new folder", dir)
		}
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Clean(dir)), 0o755); err != nil {
		return err
	}
	temp, err := durable.MkdirTemp(dir)
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	for name, raw := range content {
		if err := durable.WriteFile(filepath.Join(temp, name), raw, 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	return durable.CommitFolder(temp, dir)
}
