"""Pure: NAL units, access units and their way to the viewers. No loop, no socket, no clock."""
