package central

// Health is what the fleet page says of central itself.
func Health(s *Service) []string { return s.health() }
