package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net"

	"github.com/pion/srtp/v2"
)

const masterKey = 16 // bytes, of both profiles

var sinkProfiles = map[string]struct {
	kind srtp.ProtectionProfile
	salt int
}{
	"cm":  {srtp.ProtectionProfileAes128CmHmacSha1_80, 14},
	"gcm": {srtp.ProtectionProfileAeadAes128Gcm, 12},
}

// sink makes a viewer that is a bare UDP socket: its offer, JSON, has the address and the SRTP master key and salt.
func sink(id, address, profile string, said func(event)) (*viewer, string, error) {
	chosen := sinkProfiles[profile]
	secret := make([]byte, masterKey+chosen.salt)
	if _, err := rand.Read(secret); err != nil {
		return nil, "", err
	}
	context, err := srtp.CreateContext(secret[:masterKey], secret[masterKey:], chosen.kind)
	if err != nil {
		return nil, "", err
	}
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(address)})
	if err != nil {
		return nil, "", err
	}
	if err := socket.SetReadBuffer(socketBuffer); err != nil {
		return nil, "", err
	}
	v := &viewer{id: id, close: socket.Close}
	sealed, packet := make([]byte, 1600), make([]byte, 1600)
	go v.read(func() (int, error) {
		size, err := socket.Read(sealed)
		if err != nil {
			return 0, err
		}
		opened, err := context.DecryptRTP(packet[:0], sealed[:size], nil)
		return len(opened), err
	}, packet, said)
	port := socket.LocalAddr().(*net.UDPAddr).Port
	offer := map[string]any{"host": address, "port": port, "srtp": profile, "secret": hex.EncodeToString(secret)}
	text, err := json.Marshal(offer)
	return v, string(text), err
}
