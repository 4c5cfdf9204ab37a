"""The structs of all messages, by what they are about; `broker.messages` has them all."""
