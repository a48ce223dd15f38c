package central

// Health is what the fleet page says of central itself.
func Health(s *Service) []string { return s.health() }

// Signed is the version of the timestamp that central signed last.
func Signed(s *Service) int64 { return s.ups.Signed() }
