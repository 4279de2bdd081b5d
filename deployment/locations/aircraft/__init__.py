"""Team aircraft: which planes will leave late?"""
