"""The device's keys and certificates: enrolment, renewal, and the clock's floor."""
