package gate

import "log/slog"

// Secret is bytes that must never reach a log, a disk or the wire: access
// keys, scanned lines, file contents. It prints as "[secret]" everywhere.
type Secret []byte

// String hides the content.
func (Secret) String() string { return "[secret]" }

// GoString hides the content from %#v.
func (Secret) GoString() string { return "[secret]" }

// LogValue hides the content from log/slog.
func (Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// MarshalText hides the content from encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// Wipe overwrites the content with zeros.
func (s Secret) Wipe() { clear(s) }
