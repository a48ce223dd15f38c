// Package systemd holds the units, users, folders and the polkit rule of an
// installation; its tests have systemd itself check them.
package systemd
