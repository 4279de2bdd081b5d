"""Team delay: when will a flight that is about to leave arrive?"""
